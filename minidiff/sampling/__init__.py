"""From a trained model to samples: the model as the eps_theta of a sampler, text, and conditions that are concatenated."""
