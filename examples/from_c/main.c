/* Calls the tensor-train layer of ../tt_linear from C: initial parameters, the layer's value, and its gradients.

   tnc emit ../tt_linear/tt_linear.tn --grad --target rust --abi c -o layer
   cargo build --release --manifest-path layer/Cargo.toml
   cc -O2 main.c -Ilayer -Llayer/target/release -ltt_linear -Wl,-rpath,$PWD/layer/target/release -o main && ./main
*/
#include "tt_linear.h"
#include <stdio.h>
#include <stdlib.h>

#define WIDTH 4096

static float *array(size_t length) {
    float *all = malloc(length * sizeof(float));
    if (!all) {
        fprintf(stderr, "no memory for %zu numbers\n", length);
        exit(1);
    }
    return all;
}

static double checksum(const float *values, size_t length) {
    double sum = 0;
    for (size_t i = 0; i < length; i++) sum += values[i] * ((double)(i % 5) - 2);
    return sum;
}

int main(void) {
    tt_linear_sizes sizes = {3};
    size_t workspace_len = tt_linear_workspace_len(sizes), saved_len = tt_linear_saved_len(sizes);
    float *params = array(TT_LINEAR_PARAM_COUNT), *grad_params = array(TT_LINEAR_PARAM_COUNT);
    float *x = array(sizes.b * WIDTH), *grad_x = array(sizes.b * WIDTH);
    float *y = array(sizes.b * WIDTH), *ct = array(sizes.b * WIDTH);
    float *workspace = array(workspace_len), *saved = array(saved_len);

    for (size_t i = 0; i < sizes.b * WIDTH; i++) {
        x[i] = ((float)(i % 7) - 3) / 8;
        ct[i] = ((float)(i % 3) - 1) / 4;
    }
    tt_linear_inputs inputs = {x};
    tt_linear_outputs outputs = {y};
    tt_linear_cotangents cotangents = {ct};
    tt_linear_input_grads input_grads = {grad_x};

    if (tt_linear_init(7, params)
        || tt_linear_forward_saving(sizes, params, &inputs, &outputs, saved, workspace, workspace_len)
        || tt_linear_vjp(sizes, params, &inputs, saved, &cotangents, grad_params, &input_grads, workspace, workspace_len)) {
        fprintf(stderr, "the layer refused its arguments\n");
        return 1;
    }
    printf("y %.9g\n", checksum(y, sizes.b * WIDTH));
    printf("grad params %.9g\n", checksum(grad_params, TT_LINEAR_PARAM_COUNT));
    printf("grad x %.9g\n", checksum(grad_x, sizes.b * WIDTH));

    /* what is wrong is a status, and nothing is written */
    tt_linear_sizes none = {0};
    printf("no rows: %d\n", tt_linear_forward(none, params, &inputs, &outputs, workspace, workspace_len) == TT_LINEAR_SIZE);
    printf("no parameters: %d\n", tt_linear_forward(sizes, NULL, &inputs, &outputs, workspace, workspace_len) == TT_LINEAR_NULL);
    printf("no workspace: %d\n", tt_linear_forward(sizes, params, &inputs, &outputs, workspace, 0) == TT_LINEAR_LENGTH);

    free(params), free(grad_params), free(x), free(grad_x), free(y), free(ct), free(workspace), free(saved);
    return 0;
}
