"""Labels while running: from their topic through SQL to the learner, and what is decided of their sources.

`feed` is the trainer's side of it, `store` the rows, `sources` what each source is worth, `verdict` a person's word on
an alert. May import all layers below infra.
"""
