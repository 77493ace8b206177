fn main() -> Result<(), tn_build::Error> {
    tn_build::Builder::new().compile("sensor.tn")
}
