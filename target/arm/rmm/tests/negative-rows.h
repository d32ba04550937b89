/*
 * How the rows of refused calls are written (negative.h)
 *
 * Lock rule: none.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef NEGATIVE_ROWS_H
#define NEGATIVE_ROWS_H

#include "negative.h"

/* Pieces that the tables of both interfaces use; @reg is 1 for X1. */
void piece_set(World *w, uint64_t reg, uint64_t value);
void piece_add(World *w, uint64_t reg, uint64_t value);
void piece_state(World *w, uint64_t reg, uint64_t state);
void piece_rd(World *w, uint64_t reg, uint64_t realm);
/* 64 bits of the page at FAKE_NS_PARAMS. */
void piece_param(World *w, uint64_t offset, uint64_t value);

#define IN          RMI_ERROR_INPUT
#define REALM(n)    RMI_RESULT(RMI_ERROR_REALM, n)
#define REC         RMI_ERROR_REC
#define RTT(level)  RMI_RESULT(RMI_ERROR_RTT, level)

#define ROW(label, x0, ...) { label, x0, { __VA_ARGS__ } }
#define ROW_WITHOUT_LPA2(label, x0, ...) { label, x0, { __VA_ARGS__ }, true }
#define ROW_TOP(label, x0, top, ...) \
    { label, x0, { __VA_ARGS__ }, false, true, top }
#define SET(reg, value)     { piece_set, reg, value }
#define ADD(reg, value)     { piece_add, reg, value }
#define STATE(reg, state)   { piece_state, reg, GRANULE_##state }
#define RD(reg, realm)      { piece_rd, reg, REALM_##realm }
#define PARAM(offset, value) { piece_param, offset, value }

#define ROWS_ALIGN(name, reg) ROW(name "_align", IN, ADD(reg, 0x800))
#define ROWS_BOUND(name, reg) \
    ROW(name "_bound", IN, SET(reg, PA_DEVICE)), \
    ROW(name "_bound", IN, SET(reg, PA_BEYOND))
/* Non-secure memory is no memory of another world. */
#define ROWS_PAS(label, reg) \
    ROW(label, IN, STATE(reg, DELEGATED)), \
    ROW(label, IN, SET(reg, PA_SECURE))
/* What every granule that must be of some state is not. */
#define ROWS_NEVER(label, reg) \
    ROW(label, IN, STATE(reg, NS)), \
    ROW(label, IN, STATE(reg, DATA)), \
    ROW(label, IN, STATE(reg, RTT))

/* The argument in X@reg has to be an RD. */
#define ROWS_RD(reg) \
    ROWS_ALIGN("rd", reg), ROWS_BOUND("rd", reg), \
    ROWS_NEVER("rd_state", reg), \
    ROW("rd_state", IN, STATE(reg, DELEGATED)), \
    ROW("rd_state", IN, STATE(reg, REC)), \
    ROW("+rd_state", IN, STATE(reg, REC_AUX))

/* ...a REC. */
#define ROWS_REC(name, label, reg) \
    ROWS_ALIGN(name, reg), ROWS_BOUND(name, reg), \
    ROWS_NEVER(label, reg), \
    ROW(label, IN, STATE(reg, DELEGATED)), \
    ROW(label, IN, STATE(reg, RD))

/* ...a granule that is free. */
#define ROWS_FREE(name, label, reg) \
    ROWS_ALIGN(name, reg), ROWS_BOUND(name, reg), \
    ROWS_NEVER(label, reg), \
    ROW(label, IN, STATE(reg, RD)), \
    ROW(label, IN, STATE(reg, REC)), \
    ROW("+" label, IN, STATE(reg, REC_AUX))

/* ...Non-secure memory. */
#define ROWS_NS(name, reg) \
    ROWS_ALIGN(name, reg), ROWS_BOUND(name, reg), \
    ROWS_PAS(name "_pas", reg)

#define COMMAND(name, fid, world, outputs, switches, good) \
    { #name, fid, world, outputs, switches, good, name##_base, \
      name##_rows, G_N_ELEMENTS(name##_rows) }

#endif
