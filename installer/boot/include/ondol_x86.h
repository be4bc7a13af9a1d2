/* Included before each of llama.cpp's own sources by a build on Linux: two things that go wrong on newer x86 processors.

   Tiles (AMX). GCC before 11.5, 12.4 and 13.3 takes the 64 bytes that `_tile_loadconfig` reads for 8, and throws the writing of the
   others away: the first product of a model ends its process. Their bug 114098.

   Half floats (AVX512-FP16). llama.cpp's vectors of them take 128 numbers at once, and what is left one by one without any instruction
   for it: all of it in models whose heads have 64 numbers. Attention took two to three times as long. Without them it goes by 32-bit
   floats, which keep more of a sum, too. */
#if defined(__x86_64__)
#include <immintrin.h>
#undef __AVX512FP16__
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
static inline void ondol_tile_loadconfig(const void *config)
{
    __asm__ volatile("ldtilecfg %0" : : "m"(*(const char(*)[64])config));
}
#undef _tile_loadconfig
#define _tile_loadconfig ondol_tile_loadconfig
#endif
#endif
