// All rungs of this ladder in one object: each file alone would make the compiler read the headers again.
#include "ladder/group_norm/01_naive.cu"
#include "ladder/group_norm/02_block.cu"
#include "ladder/group_norm/03_kept.cu"
