"""Runs Python in a sandbox and writes what happened as a REPL session that replays.

Standard library only, so that its child runs under any interpreter.

* ``schema``   the records: Snippet, Outcome, Trace, Drop
* ``limits``   how much time, memory and so on a run may use
* ``sandbox``  confinement of the process that a snippet runs in
* ``inside``   the code that runs beside the snippet: settrace record, statement driver, replay
* ``checks``   two of the three checks of every trace: result and path; ``replay_check`` is the third
* ``attempt``  one session written, checked and made a Trace
* ``session``  one snippet in, one Trace or Drop out, by attempts
"""
