"""A slow twin of padded and packed batches: each sequence of each row runs alone, one token after the other."""

from __future__ import annotations

import torch


def sequences(mask, begins):
    """Columns of each sequence of each row: mask and begins are lists of rows of 0 and 1. Padding begins nothing."""
    rows = []
    for row_mask, row_begins in zip(mask, begins, strict=True):
        found = []
        for column, (is_real, does_begin) in enumerate(zip(row_mask, row_begins, strict=True)):
            if is_real:
                if does_begin or not found:
                    found.append([])
                found[-1].append(column)
        rows.append(found)
    return rows


def logits_alone(model, ids, mask, begins):
    """(row, column) -> logits of each real token, by steps; and row -> carry after its last token."""
    logits_at, carries = {}, {}
    for row, found in enumerate(sequences(mask, begins)):
        for columns in found:
            carry = None
            for column in columns:
                logits, carry = model.step(ids[row, column][None], carry)
                logits_at[row, column] = logits[0]
            carries[row] = carry
    return logits_at, carries


def positions(mask, begins):
    """[B, T] position_ids as transformers counts them: from 0 in each sequence, 0 at padding."""
    table = torch.zeros(len(mask), len(mask[0]), dtype=torch.long)
    for row, found in enumerate(sequences(mask, begins)):
        for columns in found:
            table[row, columns] = torch.arange(len(columns))
    return table
