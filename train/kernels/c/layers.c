/* What stands around the recurrence in a layer, forward and backward on one CPU core, in one pass over memory each: the
 * short convolution with its SiLU, norms of rows with their gate, and the product of a gated MLP. train/kernels/
 * layer_ops.py calls it, and train/kernels/layer_forms.py has the same in torch.
 */
#include <stdint.h>

/* Mirrored field by field in layer_ops.py. Tensors are contiguous and of one type; NULL where there is none.
 *
 * 0, convolution: x, y [batch, time, width], weight [taps, width], bias [width], start [batch, taps - 1, width]; of
 *    gradients dweight [batch, taps, width] and dbias [batch, width], for the caller to add up. A part is a sequence.
 * 1, norm: x, y, gate [batch * time rows, width], weight [width], scales [batch * time]; a row is multiplied by
 *    scale = 1 / sqrt(factor * its squared length + eps), then by the weight, then by what `gating` makes of the gate.
 *    dweight [parts, width]. A part is `time` rows, the last one may be shorter: `rows` counts all.
 * 2, gated product: y = silu(gate) x, of `rows` numbers; a part is `time` of them. */
struct layer_problem {
    int64_t operation, batch, time, width, taps, rows, gating; /* gating: 0 none, 1 SiLU, 2 sigmoid */
    double eps, factor;
    const void *x, *weight, *bias, *start, *gate;
    void *y, *scales;
    const void *dy;
    void *dx, *dweight, *dbias, *dstart, *dgate;
};

#define BODY "layers.h"
#include "levels.h"

/* Runs one pass over the parts from first to last - 1. Returns 1, or 0 if the machine doesn't have the level. Keeps
 * nothing between calls. */
int layer_run(const struct layer_problem *p, int real_bytes, int level, int backward, int64_t first, int64_t last)
{
    if (level > delta_level())
        return 0;
    return RUN(real_bytes, level, p, backward, first, last);
}
