// Line tables: one subprogram per function, one location per operation. Inlined calls are shown as such, from the chain
// that each operation carries.
#include "codegen/internal.h"

#include <string.h>

static LLVMMetadataRef file_of(Cg *cg, Loc loc) {
  const Source *src = cg->ir->sources && loc.file ? sources_get(cg->ir->sources, loc) : NULL;
  LLVMMetadataRef *file = &cg->di_files[src ? loc.file : 0];
  if (*file) return *file;
  const char *path = src ? src->path : "<dp>";
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  size_t dir = slash ? (size_t)(slash - path) : 1;
  *file = LLVMDIBuilderCreateFile(cg->out->debug, name, strlen(name), slash ? path : ".", dir);
  return *file;
}

static unsigned line_of(const Cg *cg, Loc loc, unsigned *column) {
  int line = 0, col = 0;
  if (cg->ir->sources && loc.file) sources_line_col(cg->ir->sources, loc, &line, &col);
  if (column) *column = (unsigned)col;
  return (unsigned)line;
}

void cg_debug_begin(Cg *cg) {
  int n = cg->ir->sources ? cg->ir->sources->files.len : 0;
  cg->di_files = ARENA_ARRAY(cg->arena, LLVMMetadataRef, n + 1);
  cg->out->debug = LLVMCreateDIBuilder(cg->mod);
  Loc first = n ? (Loc){.file = 1} : LOC_NONE;
  for (int i = 0; i < cg->n_funcs; i++)
    if (cg->funcs[i].ir->is_export && cg->funcs[i].ir->loc.file) first = cg->funcs[i].ir->loc;
  cg->di_unit = LLVMDIBuilderCreateCompileUnit(
      cg->out->debug, LLVMDWARFSourceLanguageC, file_of(cg, first), "dp", 2, cg->opt->opt_level > 0, "", 0, 0,
      "", 0, LLVMDWARFEmissionLineTablesOnly, 0, false, false, "", 0, "", 0);
  LLVMValueRef version = cg_i32(cg, (int32_t)LLVMDebugMetadataVersion());
  LLVMAddModuleFlag(cg->mod, LLVMModuleFlagBehaviorWarning, "Debug Info Version", 18,
                    LLVMValueAsMetadata(version));
}

static LLVMMetadataRef subprogram(Cg *cg, const char *name, Loc loc) {
  LLVMMetadataRef file = file_of(cg, loc);
  LLVMMetadataRef type = LLVMDIBuilderCreateSubroutineType(cg->out->debug, file, NULL, 0, LLVMDIFlagZero);
  unsigned line = line_of(cg, loc, NULL);
  return LLVMDIBuilderCreateFunction(cg->out->debug, file, name, strlen(name), "", 0, file, line, type, true,
                                     true, line, LLVMDIFlagZero, cg->opt->opt_level > 0);
}

void cg_debug_function(Fn *fn) {
  const IrFunc *f = fn->ir;
  fn->info->subprogram = subprogram(fn->cg, f->source_name ? f->source_name : f->name, f->loc);
  LLVMSetSubprogram(fn->info->fn, fn->info->subprogram);
  cg_debug_at(fn, NULL);
}

// The scope of operations that came from an inlined callee: a subprogram of its name, in the file they stand in.
static LLVMMetadataRef inlined_scope(Cg *cg, const IrChain *chain, Loc loc) {
  LLVMMetadataRef scope = cg_map_get(&cg->inlined, (uintptr_t)chain->callee, loc.file, 0);
  if (scope) return scope;
  scope = subprogram(cg, chain->callee, loc);
  cg_map_put(cg, &cg->inlined, (uintptr_t)chain->callee, loc.file, 0, scope);
  return scope;
}

static LLVMMetadataRef location(Fn *fn, IrLoc at) {
  Cg *cg = fn->cg;
  unsigned column, line = line_of(cg, at.loc, &column);
  if (!at.chain || at.chain >= (uint32_t)cg->ir->chains.len)
    return LLVMDIBuilderCreateDebugLocation(cg->ctx, line, column, fn->info->subprogram, NULL);
  const IrChain *chain = &cg->ir->chains.data[at.chain];
  LLVMMetadataRef outer = location(fn, (IrLoc){chain->call, chain->parent});
  return LLVMDIBuilderCreateDebugLocation(cg->ctx, line, column, inlined_scope(cg, chain, at.loc), outer);
}

void cg_debug_at(Fn *fn, const IrOp *op) {
  IrLoc at = op ? op->loc : (IrLoc){fn->ir->loc, 0};
  LLVMSetCurrentDebugLocation2(fn->b, location(fn, at));
}

void cg_debug_end(Cg *cg) { LLVMDIBuilderFinalize(cg->out->debug); }
