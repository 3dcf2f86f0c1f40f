"""From a training checkpoint or other packages' files to files to hand on."""
