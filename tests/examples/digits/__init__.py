"""Images: one convolutional encoder for four questions about a handwritten digit, against an encoder each.

Lives here: the questions, the network, its training with any way of weighting tasks, and the tables.
Promises: the networks of a seed see the same images in the same order; figures are of images never trained on.
"""
