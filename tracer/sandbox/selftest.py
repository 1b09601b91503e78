ADVICE = "x"
def failures(worker): return []
def explain(f, e): return f
