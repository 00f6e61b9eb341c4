// All rungs of this ladder in one object: each file alone would make the compiler read the headers again.
#include "ladder/attention/01_three_passes.cu"
#include "ladder/attention/02_online_softmax.cu"
#include "ladder/attention/03_shared_tile.cu"
#include "ladder/attention/04_register_tile.cu"
#include "ladder/attention/05_float4.cu"
