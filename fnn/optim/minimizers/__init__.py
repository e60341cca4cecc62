"""Minimizing whole functions: `minimize`, its methods, and the pieces they are made of."""

from fnn.optim.minimizers.base import Composite as Composite
from fnn.optim.minimizers.base import Method as Method
from fnn.optim.minimizers.base import Point as Point
from fnn.optim.minimizers.base import composite as composite
from fnn.optim.minimizers.conjugate import conjugate_gradients as conjugate_gradients
from fnn.optim.minimizers.descent import steepest_descent as steepest_descent
from fnn.optim.minimizers.kfac import kfac as kfac
from fnn.optim.minimizers.least_squares import gauss_newton as gauss_newton
from fnn.optim.minimizers.least_squares import levenberg_marquardt as levenberg_marquardt
from fnn.optim.minimizers.line_search import Search as Search
from fnn.optim.minimizers.line_search import backtracking as backtracking
from fnn.optim.minimizers.line_search import strong_wolfe as strong_wolfe
from fnn.optim.minimizers.minimize import Minimum as Minimum
from fnn.optim.minimizers.minimize import minimize as minimize
from fnn.optim.minimizers.natural import natural_gradient as natural_gradient
from fnn.optim.minimizers.newton import damped_newton as damped_newton
from fnn.optim.minimizers.newton import newton as newton
from fnn.optim.minimizers.newton import positive_cholesky as positive_cholesky
from fnn.optim.minimizers.quasi_newton import bfgs as bfgs
from fnn.optim.minimizers.quasi_newton import lbfgs as lbfgs
from fnn.optim.minimizers.quasi_newton import two_loop as two_loop
from fnn.optim.minimizers.trust_region import newton_cg as newton_cg
from fnn.optim.minimizers.trust_region import steihaug as steihaug
