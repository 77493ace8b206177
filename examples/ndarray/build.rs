fn main() -> Result<(), tn_build::Error> {
    tn_build::Builder::new().grad(true).compile("layer.tn")
}
