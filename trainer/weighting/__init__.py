"""How the losses of several tasks become one step: one file a family of methods, behind one protocol.

`evidence` is what a method is told and what it must answer; `fixed`, `losses`, `learned` and `conflict` are the
methods, `methods` names them. `gradients` splits a backward pass by task at the shared representation, `ranks` pools
what several processes saw, `similarity` keeps the cosines, and `task_weighting` is the one thing the learner holds.
Nothing here is part of a published network.
"""
