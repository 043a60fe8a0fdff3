"""The stages' code by numbers: what a release is a function of, besides its input."""

VALIDATE = 1  # raise when the same snapshot and suites would now be judged otherwise
EMBED = 3  # raise when the same products would now ask for other vectors
BUILD = 5  # raise when the same vectors would now give another release
EVALUATE = 5  # raise when the same release would now be scored otherwise
RELEASE = [VALIDATE, EMBED, BUILD, EVALUATE]
