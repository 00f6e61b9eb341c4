// A rung of conv2d alone: y of 64 channels from 16, 3 x 3, against the equation in double precision.
#include "conv2d/conv2d.h"
#include "ladder/run.h"

int main() {
    return guarded([] {
        const Conv c{1, 16, 10, 18, 64, 3, 3, 8, 16, 1, 1, 0, 0, 1, 1, 1};
        Numbers x(size_t(c.N * c.C * c.H * c.W), mixed), weight(size_t(c.O * c.C * 9), [](size_t i) { return mixed(i + 7); });
        Numbers bias(size_t(c.O), mixed), y(size_t(c.N * c.O * c.I * c.J), zero);
        const int splits = 3;
        Numbers parts(y.size * splits, zero);
        measure(Conv2dRung::first->name, [&] {
            Conv2dRung::first->function(c, x.data, weight.data, bias.data, y.data, Plan{0, splits, parts.data}, nullptr);
        });

        std::vector<double> wanted;
        for (int n = 0; n < c.N; n++)
            for (int o = 0; o < c.O; o++)
                for (int i = 0; i < c.I; i++)
                    for (int j = 0; j < c.J; j++) {
                        double sum = double(bias.data[o]);
                        for (int ch = 0; ch < c.C; ch++)
                            for (int u = 0; u < 3; u++)
                                for (int v = 0; v < 3; v++)
                                    sum += double(weight.data[((o * c.C + ch) * 3 + u) * 3 + v]) *
                                           double(x.data[((n * c.C + ch) * c.H + i + u) * c.W + j + v]);
                        wanted.push_back(sum);
                    }
        return compare(y, wanted);
    });
}
