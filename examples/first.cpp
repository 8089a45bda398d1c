// A first program: a matrix product, a gradient, and a language model's answer.
// Usage: first [MODEL PROMPT]
#include <cstdio>

#include <tallow/language_model.h>
#include <tallow/ops.h>

using namespace tallow;

int main(int argc, char** argv) {
  const float numbers[] = {1, 2, 3, 4, 5, 6};
  Tensor a = Tensor::from(numbers, {2, 3}).requires_grad_();
  Tensor loss = sum(square(matmul(a, a.transpose(0, 1))));
  loss.backward();
  std::printf("loss %g, gradient of the first element %g\n", loss.item(), a.grad().to_vector()[0]);

  if (argc < 3) return 0;
  LanguageModel model(argv[1]);
  Session session(model);
  session.generate(model.text().tokenizer.encode(argv[2]), {.max_tokens = 32},
                   [](std::string_view text) {
                     return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
                   });
  std::puts("");
}
