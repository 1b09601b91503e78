"""Linear recurrences over matrix states: chunked forms, step forms, slow twins, and the switch to fla's GPU kernels."""
