"""Verdicts: what is wrong with a mesh, how sure that is, and why. Pure, as the rest of the engine.

``tally`` counts what the sockets did, ``signals`` makes figures of it and of all else that is known, ``rules`` holds
them against each cause, ``scope`` says it once for a whole node, ``lifecycle`` keeps findings from flickering.
"""
