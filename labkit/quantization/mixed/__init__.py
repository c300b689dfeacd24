"""Mixed precision: bits where they matter.

`price` and `sensitivity` say what a width costs a layer and what it hurts; `assignment` chooses under a budget; `search` learns to.
"""
