"""The equations of diffusion models on plain arrays.

Networks come in as callables `eps_theta(x_t, t)`. One index rule everywhere: t = 1..T are
the noisy steps, t = 0 is the data, and a batch carries one t per image.
"""
