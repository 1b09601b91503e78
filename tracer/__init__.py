"""Runs Python in a sandbox and writes what happened as a REPL session that replays.

Standard library only, so that its child runs under any interpreter.

* ``schema``   the records: Snippet, Outcome, Trace, Drop
* ``limits``   what a run may use
* ``sandbox``  confinement of the process that a snippet runs in
* ``inside``   what runs beside the snippet: settrace record, statement driver, replay
* ``checks``   result, path and replay: the three checks of every trace
* ``session``  one snippet in, one Trace or Drop out
"""
