// All rungs of this ladder in one object: each file alone would make the compiler read the headers again.
#include "ladder/conv2d/01_naive.cu"
#include "ladder/conv2d/02_shared_tile.cu"
#include "ladder/conv2d/03_register_column.cu"
#include "ladder/conv2d/04_register_tile.cu"
#include "ladder/conv2d/05_float4.cu"
#include "ladder/conv2d/06_lanes.cu"
#include "ladder/conv2d/07_two_slabs.cu"
#include "ladder/conv2d/08_split_k.cu"
