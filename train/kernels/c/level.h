/* BODY for both number types at one level of instructions: levels.h includes this with LEVEL, TARGET, VECTOR_BYTES and
 * TILE_ROWS set, and it unsets them. NAME(run) becomes run_LEVEL_float and run_LEVEL_double, and so do all others. */
#define REAL float
#define REAL_BYTES 4
#define NAME(x) JOIN(x, LEVEL, float)
#include BODY
#undef REAL
#undef REAL_BYTES
#undef NAME

#define REAL double
#define REAL_BYTES 8
#define NAME(x) JOIN(x, LEVEL, double)
#include BODY
#undef REAL
#undef REAL_BYTES
#undef NAME

#undef LEVEL
#undef TARGET
#undef VECTOR_BYTES
#undef TILE_ROWS
