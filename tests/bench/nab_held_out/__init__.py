"""`python -m tests.bench.nab_held_out`: what NAB's figures are on files that took no part in the choice.

A grid of variants is decided on all files: settings that a user may change (`grid.SETTINGS`, crossed), and constants of
the detector, one at a time (`grid.CONSTANTS`, a scoring pass each). Then the choice is made where the judged file is
not: on all other files, on all other folders (files of one kind lie in one folder), or on the other half (every other
file). Each profile chooses by itself, as NAB's own rule does. What the judged files earn under the variant chosen for
them is added up and normalised as NAB does, over the files judged. Beside it an EWMA z-score and a random scorer, whose
threshold, quiet period and escalation are chosen the same way.

What is held out is the grid's choices, nothing else. What the statistics are, how they are combined and decided on was
chosen with all files in view, and so were the values that the grid lies around, the default's. So these figures say
what choosing numbers on some files is worth on others of these seven folders; of other files, or of how the detector
would have come out had a file never been seen, they say nothing, and are likelier too high than too low. Scoring itself
looks at no label. The default's figures are held out in no way; the median of the grid is what a blind choice earns.

± is the deviation over bootstrap draws of as many files from each half, with the choice made anew in each: a file drawn
twice counts twice, and is held out whole.
"""
