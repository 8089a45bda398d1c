// Fuzzes chat templates: whatever the text says, rendering ends with a result or an Error.
#include "tallow/chat_template.h"
#include "tallow/error.h"
#include "target.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const tallow::Json messages = tallow::Json::parse(
      R"([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi \u00e9"},
          {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function":
            {"name": "add", "arguments": {"a": 1, "b": [2.5, null, true]}}}]},
          {"role": "tool", "content": [{"type": "text", "text": "3"}]}])",
      "messages");
  try {
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    tallow::ChatOptions options;
    options.add_generation_prompt = true;
    options.bos_token = "<s>";
    options.eos_token = "</s>";
    options.now = 1'700'000'000;
    options.tools = tallow::Json::parse(
        R"([{"type": "function", "function": {"name": "add", "parameters": {}}}])", "tools");
    tallow::ChatTemplate(source, "t").render(messages, options);
  } catch (const tallow::Error&) {
  }
  return 0;
}

std::vector<std::string> fuzz_seeds() {
  return {
      "{{- bos_token }}{%- for m in messages %}{{- '<|' + m['role'] + '|>' + m.content | trim }}"
      "{%- if not loop.last %}{{ '\\n' }}{%- endif %}{%- endfor %}"
      "{%- if add_generation_prompt %}<|assistant|>{%- endif %}",
      "{%- set ns = namespace(n=0, first='') %}{%- for m in messages if m.role != 'system' %}"
      "{%- set ns.n = ns.n + 1 %}{%- if m.role == 'user' and ns.n % 2 == 0 %}"
      "{{- raise_exception('roles') }}{%- elif m.tool_calls is defined and m.tool_calls %}"
      "{%- for call in m.tool_calls %}{{ call.function.arguments | tojson(indent=2) }}"
      "{%- endfor %}{%- else %}{{ m.content if m.content is string else m.content[0]['text'] }}"
      "{%- endif %}{%- endfor %}",
      "{%- macro show(x, depth=0) -%}{%- if x is mapping %}{%- for k, v in x | dictsort %}"
      "{{ k }}={{ show(v, depth + 1) }}{%- endfor %}{%- elif x is iterable and x is not string %}"
      "{{ x | map('string') | join(', ') }}{%- else %}{{ x }}{%- endif %}{%- endmacro -%}"
      "{{ show(tools[0]) }}{{ strftime_now('%Y-%m-%d') }}",
      "{% set a = [1, 2.5, 'x' * 3, none, true] %}{{ a[::-1] }}{{ a | length }}{{ 7 // 2 ** 3 }}"
      "{{ 'aBc'.upper().split('B') | first }}{{ range(3) | list }}{{ {'k': 1}.items() | list }}"
      "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | list }}"
      "{% filter upper %}x{% endfilter %}{% generation %}y{% endgeneration %}{{ '%s-%d' % ('a', 3) "
      "}}",
  };
}
