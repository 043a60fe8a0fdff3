"""Cards: what an engineer sees of each step of a flow, with pictures.

`runs` draws the first and the last step of a refresh, `stages` those between, `trials` the other flows. Every function
reads what a step left in the store and returns the components of one Metaflow card. Nothing is written, and nothing in
here can fail a run: what cannot be drawn says so in one line.
"""

#: How a shop came through a run: which of them need somebody, and how each is coloured.
TROUBLE = ("set aside", "failed gate")
STATES = {"published": "success", "unchanged": "default", "held": "warning", "superseded": "warning",
          "failed gate": "danger", "set aside": "danger"}  # fmt: skip
