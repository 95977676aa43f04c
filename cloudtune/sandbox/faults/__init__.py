"""What goes wrong in a sandbox, and when: a seeded plan, and one file per place where it acts.

Whether something is hit follows from the plan's seed, what it is and how often that was there before, and from nothing
else: neither the order of threads nor what was hit before changes it.
"""
