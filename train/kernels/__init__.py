"""Linear recurrences over matrix states, and the convolution that goes with them.

``delta`` (the delta rule) and ``decayed`` (attention with decay) are what models call: each over a whole sequence and
one step at a time. By the tensors' device they choose between a chunked form in torch, one in C (``c_ops``) and
flash-linear-attention's Triton kernels (``fla_ops``). Slow twins, which the tests hold all of them to, are in
``tests/reference``.
"""
