// A rung of attention alone: 2 heads of 64 queries and 48 keys of 32 numbers, against the formula in double precision.
#include "attention/attention.h"
#include "ladder/run.h"

int main() {
    return guarded([] {
        constexpr int HEADS = 2, T = 64, S = 48, D = 32;
        const float scale = 1 / std::sqrt(float(D));
        Numbers q(HEADS * T * D, mixed), k(HEADS * S * D, [](size_t i) { return mixed(i + 7); }), v(HEADS * S * D, [](size_t i) { return mixed(i + 11); });
        Numbers o(HEADS * T * D, zero), lse(HEADS * T, zero);
        const Attention a = {HEADS, HEADS, T, S, D, D, scale, false, q.data, k.data, v.data, o.data, lse.data, nullptr, 0, 0, 0, 0};
        measure(AttentionRung::first->name, [&] { AttentionRung::first->function(a, nullptr); });

        std::vector<double> wanted;
        for (int row = 0; row < HEADS * T; row++) {
            std::vector<double> p(S);
            double total = 0;
            for (int j = 0; j < S; j++) {
                double s = 0;
                for (int d = 0; d < D; d++) s += double(q.data[row * D + d]) * double(k.data[(row / T * S + j) * D + d]);
                total += p[size_t(j)] = std::exp(double(scale) * s);
            }
            for (int d = 0; d < D; d++) {
                double sum = 0;
                for (int j = 0; j < S; j++) sum += p[size_t(j)] / total * double(v.data[(row / T * S + j) * D + d]);
                wanted.push_back(sum);
            }
        }
        return compare(o, wanted);
    });
}
