"""Parts that the command lines of the examples share: options, errors in one line, resuming."""

from minidiff.cli.groups import (
    add_common_options,
    add_data_options,
    add_out,
    add_resume,
    add_sampler_options,
    add_sampling_options,
    add_training_options,
    check_classes,
    check_limits,
    fit_batch,
    load_data,
)
from minidiff.cli.limits import (
    MOST_IMAGES,
    at_least_0,
    channels,
    device,
    fraction,
    images,
    path,
    positive_float,
    positive_int,
    seed,
    up_to,
    zero_to_one,
)
from minidiff.cli.options import Options, make_parser, stored_options
from minidiff.cli.program import make_out, one_line_error, program
from minidiff.cli.ranks import workers
from minidiff.cli.runs import (
    OF_EVERY_RUN,
    end_early,
    restore,
    resume,
    run_folder,
    run_settings,
)

__all__ = [
    "MOST_IMAGES", "OF_EVERY_RUN", "Options", "add_common_options", "add_data_options", "add_out",
    "add_resume", "add_sampler_options", "add_sampling_options", "add_training_options",
    "at_least_0", "channels", "check_classes", "check_limits", "device", "end_early", "fit_batch",
    "fraction", "images", "load_data", "make_out", "make_parser", "one_line_error", "path",
    "positive_float", "positive_int", "program", "restore", "resume", "run_folder",
    "run_settings", "seed", "stored_options", "up_to", "workers", "zero_to_one",
]  # fmt: skip
