"""An MLP on MNIST: dropout, a one-cycle learning rate, validation, and the best weights kept.

    input layer 784 -> hidden layers 512 and 256 -> output layer 10, each fully connected

The package carries 10,000 digits; 9,000 are for training and 1,000 for the test. A tenth of the
training digits is held out to choose the weights, so that the test digits are looked at only once.
"""

import jax

import fnn
from fnn.layers import dense, dropout, flatten

data = fnn.datasets.load("mnist")
x, y, x_val, y_val = (
    data.x_train[:8500],
    data.y_train[:8500],
    data.x_train[8500:],
    data.y_train[8500:],
)

net = fnn.serial(
    flatten(),
    dropout(0.1),
    dense(512, w_init=fnn.initializers.he_normal),
    jax.nn.relu,
    dropout(0.3),
    dense(256, w_init=fnn.initializers.he_normal),
    jax.nn.relu,
    dropout(0.3),
    dense(10),
)

epochs, batch_size = 15, 128
rate = fnn.optim.schedules.one_cycle(4e-3, steps=epochs * len(x) // batch_size)
trained = fnn.fit(
    net,
    x,
    y,
    loss=fnn.losses.cross_entropy,
    optimizer=fnn.optim.adam(rate),
    key=jax.random.key(0),
    epochs=epochs,
    batch_size=batch_size,
    validation=(x_val, y_val),
    metrics={"accuracy": fnn.metrics.accuracy},
    monitor="val_accuracy",
    mode="max",
)

print(net)
print(trained.stopped, f"in {trained.history['seconds'][-1]:.1f} s")
for epoch, loss, accuracy in zip(
    trained.history["epoch"], trained.history["loss"], trained.history["val_accuracy"], strict=True
):
    print(f"epoch {epoch:5.1f}  training loss {loss:.4f}  validation accuracy {accuracy:.4f}")

test = fnn.train.evaluate(
    net,
    trained.params,
    trained.state,
    data.x_test,
    data.y_test,
    metrics={"accuracy": fnn.metrics.accuracy},
)
print(f"test accuracy {test['accuracy']:.4f} on {len(data.x_test)} digits never looked at before")
assert test["accuracy"] > 0.96
