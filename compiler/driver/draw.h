// Pictures, for the executable alone (driver.h, Console.draw).
#ifndef DP_DRAW_H
#define DP_DRAW_H

#include "support/support.h"

// NULL and *why if there is no picture.
const char *draw_svg(Arena *a, const char *dot, size_t *len, const char **why);

#endif
