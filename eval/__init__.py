"""Who tracks state, who keeps a belief: accuracy, beliefs, probes, interventions, figures, reports."""
