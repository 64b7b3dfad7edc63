"""What the models of customers share: cutoffs, survival curves, explanations, published files.

In: customer features at an instant and at earlier cutoffs. Out: labels with follow-up, monotone
inputs, sentences that explain predictions, and the files that serving reads.
"""
