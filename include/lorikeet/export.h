// LORIKEET_EXPORT marks what the shared library exports; everything else is compiled with hidden visibility.
#pragma once

#define LORIKEET_EXPORT __attribute__((visibility("default")))
