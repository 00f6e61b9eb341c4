"""Latent diffusion: slides 34 to 42."""

from minidiff.classroom.plans.plan import Plan, Stage

LATENT = Plan(
    "latent", "Latent diffusion",
    "The class knows DDPM and the U-Net.",
    (
        Stage(
            8, "Why latents",
            "28 x 28 pixels become 7 x 7 x 4 numbers, and the noise is added there.",
            show=("deck/34.html",),
            run="python -m minidiff explain ldm.scale --short",
            ask="Why is the latent scaled?",
            answer="So that it has unit variance, as the schedule expects.",
        ),
        Stage(
            15, "Vector quantisation",
            "The nearest of K vectors; then a gradient that passes straight through.",
            show=("deck/38.html#quantisation", "deck/38.html#the-losses"),
            run="python -m minidiff explain vq.straight_through --short",
            ask="What is the derivative of 'the nearest'?",
            answer="Zero almost everywhere; so one pretends that it was the identity.",
            mistake="The nearest by edit distance (erratum 44): that is for strings.",
            lab=("r26",),
        ),
        Stage(
            10, "Codes die", "A code that nobody chooses gets no gradient.",
            show=("deck/39.html#codes-in-use",),
            run="python -m minidiff explain vq.perplexity --short",
            ask="Perplexity 3 of 128 codes: what happened?",
            answer="The codebook collapsed. Restarted codes or an EMA codebook help.",
            mistake=(
                "VQ-VAE avoids collapse (erratum 46): posterior collapse, yes; codebook "
                "collapse, no."
            ),
        ),
        Stage(
            8, "Or a KL term", "Stable Diffusion's autoencoder is KL-regularised.",
            show=("deck/37.html",),
            run="python -m minidiff explain vae.kl --short",
            ask="Why is its weight so small?",
            answer="It only keeps the latents near N(0, I); the reconstruction matters more.",
        ),
        Stage(
            15, "Attention", "Queries from pixels, keys and values from words.",
            show=("deck/35.html#attention", "deck/40.html#q-k-v"),
            run="python -m minidiff explain ldm.attention --short",
            ask="What if all keys are the same?",
            answer="Every query gets the mean of the values.",
            mistake=(
                "No 1 / sqrt(d): the softmax saturates as d grows, and its gradient vanishes."
            ),
            lab=("r24",),
        ),
        Stage(
            12, "The loss, and the words",
            "L_simple on latents, with one input more; one in ten captions is dropped.",
            show=("deck/40.html#l_ldm",),
            run="python -m minidiff explain ldm.loss --short",
            ask="Why drop captions?",
            answer="Guidance needs a prediction without words from the same network.",
            mistake=(
                "Diffusion over the discrete tokens (erratum 47): it runs over the continuous "
                "z."
            ),
        ),
        Stage(
            8, "Other conditions", "A mask or a map has the shape of an image: concatenate it.",
            show=("deck/36.html",),
            run="python -m minidiff explain 36",
            ask="How would you condition on a class this way?",
            answer="One plane per class, ones in one of them.",
        ),
        Stage(
            8, "Sampling", "Noise, guided steps, one decoder.",
            show=("deck/42.html",),
            run="python -m minidiff explain ldm.sample --short",
            ask="How often does the decoder run?",
            answer="Once.",
        ),
        Stage(
            6, "What to take home", "Two phases, each of which you know already.",
            show=("latent_diffusion.html", "notebooks/latent.html"),
            ask="What is new in phase 2?",
            answer="Only the words.",
        ),
    ),
)  # fmt: skip
