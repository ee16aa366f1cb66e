// LORIKEET_EXPORT marks the symbols of the shared library. All others have hidden visibility.
#pragma once

#define LORIKEET_EXPORT __attribute__((visibility("default")))
