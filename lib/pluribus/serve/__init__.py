"""The HTTP service: every shop's live release over one process, one model, one key a shop.

    from pluribus import serve
    serve.run(open_store(".pluribus"), host="127.0.0.1", port=8000)

    gate      who may enter, how much and how often: nothing of a stranger's body is read before his key was looked at
    keys      what opens a shop: random keys, of which the store holds the sha256
    shelf     releases opened on demand, swapped when another goes live, put away when memory runs short
    batching  one encoder for all shops: texts that wait are encoded together, repeated ones are remembered
    wire      HTTP from bytes, within bounds
    routes    what can be asked, in the words of `words`
    troubles  every failure in one JSON shape
    counters  what an operator watches

A request holds one opened release from its beginning to its end, and its answer says which.
"""

from pluribus.serve.gate import Limits
from pluribus.serve.service import create_app, run

__all__ = ["Limits", "create_app", "run"]
