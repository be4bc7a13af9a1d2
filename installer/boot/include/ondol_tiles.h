/* Loading the shape of AMX's tiles, whole. Included before llama.cpp's own sources by a build with GCC.

   GCC before 11.5, 12.4 and 13.3 takes the 64 bytes that `_tile_loadconfig` reads for 8, and throws the writing of the others away:
   on a processor with AMX the first product of a model ends its process. Their bug 114098. */
#if defined(__AMX_TILE__) && defined(__GNUC__) && !defined(__clang__)
#include <immintrin.h>
static inline void ondol_tile_loadconfig(const void *config)
{
    __asm__ volatile("ldtilecfg %0" : : "m"(*(const char(*)[64])config));
}
#undef _tile_loadconfig
#define _tile_loadconfig ondol_tile_loadconfig
#endif
