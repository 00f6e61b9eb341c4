"""Slides 26 to 42: the U-Net, guidance, latent diffusion. Data only."""

# fmt: off
from minidiff.classroom.tables.slide import Slide, formula

UNET = "Diffusion Model Architecture"
PHASE_1 = "LDM Training (Phase 1)"
PHASE_2 = "LDM Training (Phase 2)"
CROSS = "Text Conditioning With Cross Attention"

SLIDES_NETWORKS = (
    Slide(26, "U-Net Architecture", code=("minidiff.models.unet.UNet",)),
    Slide(27, UNET, code=("minidiff.models.unet.UNet",)),
    Slide(28, UNET, code=("minidiff.models.unet.UNet.forward",)),
    Slide(29, UNET, (
        formula("Swish", "Swish(x)=x*sigmoid(x)", "unet.swish"),
        formula("GroupNorm", None, "unet.group_norm"),
        formula("the sine part", r"PE_t,i^(1)=\sin(\fract10000^\fracid-1)", "unet.time_embedding"),
        formula("the cosine part", r"PE_t,i^(2)=\cos(\fract10000^\fracid-1)",
                "unet.time_embedding"),
    ), code=(
        "minidiff.nn.Swish", "minidiff.nn.GroupNorm", "minidiff.models.unet_blocks.TimeEmbedding",
    )),
    Slide(30, UNET, code=(
        "minidiff.models.unet_blocks.DownBlock", "minidiff.models.unet_blocks.Downsample",
    )),
    Slide(31, UNET, code=("minidiff.models.unet_blocks.MiddleBlock",)),
    Slide(32, UNET, code=(
        "minidiff.models.unet_blocks.UpBlock", "minidiff.models.unet_blocks.Upsample",
    )),
    Slide(33, "Guided Diffusion Models", (
        formula("classifier guidance of the mean", None, "guidance.classifier_mean"),
        formula("classifier guidance of the noise", None,
                "guidance.classifier_eps", "oracle.classifier", "oracle.classifier_gradient"),
        formula("classifier-free guidance", None,
                "guidance.classifier_free_w",
                "guidance.classifier_free_s", "guidance.drop_condition"),
    ), code=("minidiff.models.NoisyClassifier",)),
    Slide(34, "Latent Diffusion Model (LDM or Stable Diffusion)", (
        formula("the scale of the latent", None, "ldm.scale"),
    ), code=("minidiff.models.autoencoder.Autoencoder", "minidiff.models.text_unet.TextUNet")),
    Slide(35, CROSS, (
        formula("attention", None, "ldm.attention"),
    ), code=(
        "minidiff.models.unet_blocks.CrossAttentionBlock", "minidiff.models.TextEncoder",
        "minidiff.nn.MultiHeadAttention",
    )),
    Slide(36, CROSS, (
        formula("attention", None, "ldm.attention"),
    ), code=("minidiff.sampling.concat_conditions.masked_image",)),
    Slide(37, PHASE_1, (
        formula("VQ or KL", None, "vq.nearest", "vae.kl"),
    ), code=(
        "minidiff.models.autoencoder.VQAutoencoder", "minidiff.models.autoencoder.KLAutoencoder",
    )),
    Slide(38, PHASE_1, (
        formula("quantisation", None, "vq.nearest", "vq.straight_through"),
        formula("the losses", None, "vq.loss", "vq.codebook_loss", "vq.commitment_loss", "vq.ema"),
    ), code=(
        "minidiff.models.quantizer.VectorQuantizer",
        "minidiff.models.autoencoder.VQAutoencoder.terms",
    )),
    Slide(39, PHASE_1, (
        formula("codes in use", None, "vq.perplexity"),
    ), code=("minidiff.training.codebook.CodebookKeeper",)),
    Slide(40, PHASE_2, (
        formula("Q, K, V", r"Q=W_Q^(i)\cdot\varphi_i(z_t)", "ldm.projections", "ldm.attention"),
        formula("L_LDM", r"L_LDM:=E_E(x),y,\epsilon\simN(0,1),t", "ldm.loss"),
    ), code=(
        "minidiff.models.text_unet.TextUNet", "minidiff.training.text_condition.with_captions",
    )),
    Slide(41, PHASE_2, code=("minidiff.models.TextEncoder",)),
    Slide(42, "LDM Sampling", (
        formula("from noise to image", None, "ldm.sample"),
    ), code=("minidiff.sampling.text_to_image.guided_by_text",)),
)
