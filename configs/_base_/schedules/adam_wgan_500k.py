# Stage 2: Adam with the paper's learning rates, 500,000 iterations.
_base_ = ['./adam_wgan.py', './iterations_500k.py']
