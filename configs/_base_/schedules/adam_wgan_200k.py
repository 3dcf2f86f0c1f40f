# Stage 2: Adam with the paper's learning rates, 200,000 iterations.
_base_ = ['./adam_wgan.py', './iterations_200k.py']
