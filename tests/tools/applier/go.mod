module applier

go 1.21
