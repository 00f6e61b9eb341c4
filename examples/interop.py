"""Two bridges: minidiff's network in a sampler of diffusers, and PyTorch's in minidiff's.

    pip install "minidiff[compare]"
    python examples/interop.py --out runs/interop

digits.png: the shipped U-Net, asked by DPM-Solver++ of diffusers.
points.png: a swiss roll, learned by a network of PyTorch and sampled by minidiff's DDIM.
Arrays and tensors cross over by DLPack: both libraries look at the same memory.
"""

import diffusers
import numpy as np
import torch

from minidiff import RNG, cli, data, diffusion, models, no_grad, pictures, sampling
from minidiff.training import shipped_run


def sample_with_scheduler(network, scheduler, x_T, steps):
    """The sampling loop of diffusers, which asks a network of minidiff.

    network: called as network(x_t, t); x_T: (B, ...) array  ->  x_0: (B, ...) array
    """
    scheduler.set_timesteps(steps)
    x_t = torch.from_dlpack(x_T)
    for t in scheduler.timesteps:  # T - 1, ..., 0: diffusers counts noisy times from 0
        with no_grad():
            said = network(np.from_dlpack(x_t), np.full(len(x_t), int(t) + 1))
        x_t = scheduler.step(torch.from_dlpack(said), t, x_t).prev_sample
    return np.from_dlpack(x_t)


def as_eps_theta(network):
    """A network of PyTorch as the eps_theta(x_t, t) that minidiff's samplers call."""

    def eps_theta(x_t, t):
        with torch.no_grad():
            return np.from_dlpack(network(torch.from_dlpack(x_t), torch.from_dlpack(t)))

    return eps_theta


class PointNetwork(torch.nn.Module):
    """eps_theta of points in the plane, in PyTorch.   x_t: (B, 2), t: (B,)  ->  (B, 2)"""

    def __init__(self, T, n_hidden=128):
        super().__init__()
        self.time_emb = torch.nn.Embedding(T + 1, n_hidden)
        torch.nn.init.normal_(self.time_emb.weight, std=0.1)
        self.point_proj = torch.nn.Linear(2, n_hidden)
        layers = [torch.nn.SiLU(), torch.nn.Linear(n_hidden, n_hidden)] * 2
        self.rest = torch.nn.Sequential(
            *layers, torch.nn.SiLU(), torch.nn.Linear(n_hidden, 2)
        )

    def forward(self, x_t, t):
        return self.rest(self.point_proj(x_t) + self.time_emb(t))


def train_in_torch(network, points, schedule, steps, rng):
    """Algorithm 1 by PyTorch's autograd and Adam, on the x_t of minidiff's schedule."""
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(steps):
        x_0 = points[rng.integers(0, len(points), (256,))]
        t = rng.integers(1, schedule.T + 1, (256,))
        eps = rng.normal(x_0.shape)
        x_t = diffusion.q_sample(x_0, t, eps, schedule)
        eps_hat = network(torch.from_dlpack(x_t), torch.from_dlpack(t))
        loss = torch.nn.functional.mse_loss(eps_hat, torch.from_dlpack(eps))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def main(options):
    cli.make_out(options.out)
    rng = RNG(options.seed)
    denoiser = sampling.load_denoiser(shipped_run("mnist"), models.UNet)
    scheduler = diffusers.DPMSolverMultistepScheduler(
        trained_betas=denoiser.schedule.tables["beta"][1:],  # index 0 is the data
        prediction_type={"eps": "epsilon", "v": "v_prediction"}[denoiser.prediction],
    )
    x_T = rng.normal((16, *denoiser.sample_shape))
    digits = sample_with_scheduler(denoiser.model, scheduler, x_T, options.steps)
    pictures.save_grid(f"{options.out}/digits.png", digits.clip(-1, 1))

    torch.manual_seed(options.seed)
    torch.set_num_threads(1)  # more cost time: the network is so small
    schedule, roll = diffusion.make_schedule("linear", T=100), data.swiss_roll(2000, 0)
    network = PointNetwork(schedule.T)
    train_in_torch(network, roll, schedule, options.training_steps, rng)
    points = diffusion.ddim_sample(as_eps_theta(network), (2000, 2), schedule, rng)
    figure = pictures.Figure(figsize=(8, 4), layout="constrained")
    titles = {"data": roll, "PyTorch's network, minidiff's DDIM": points}
    for axis, title in zip(figure.subplots(1, 2), titles, strict=True):
        axis.scatter(*titles[title].T, s=2)
        axis.set(title=title, xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
    pictures.save_figure(figure, f"{options.out}/points.png")
    print(f"wrote digits.png and points.png in {options.out}")


def parse_options():
    parser = cli.make_parser(__doc__)
    parser.add_argument("--steps", type=cli.up_to(1000), default=20, help="of the solver")
    parser.add_argument("--training-steps", type=cli.up_to(100_000), default=4000)
    parser.add_argument("--seed", type=cli.seed, default=0)
    cli.add_out(parser, "runs/interop")
    return parser.parse_args()


if __name__ == "__main__":
    with cli.program():
        main(parse_options())
