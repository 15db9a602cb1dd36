// Places in the program as reports name them.
#ifndef DP_PLACE_H
#define DP_PLACE_H

#include "ir/ir.h"

// The place itself or, within the standard library, the call in the program that led there.
Loc place_in_program(const IrModule *m, IrLoc loc);
int place_line(const IrModule *m, IrLoc loc); // 0: none
// What stands there, on one line and without a block that follows, at most `width` characters; "" without a place.
const char *place_text(Arena *a, const IrModule *m, IrLoc loc, int width);

#endif
