#pragma once

/* Bytes that no policy file can have outside of comments, and what they are. */

const char *byte_hint_find(const char *at, const char *end);
