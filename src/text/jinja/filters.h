// The tables of filters, which find_filter searches.
#pragma once

#include <vector>

#include "text/jinja/machine.h"

namespace tallow::jinja {

struct FilterRow {
  const char* name;
  FilterFunction function;
};

const std::vector<FilterRow>& sequence_filters();

}  // namespace tallow::jinja
