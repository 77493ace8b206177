fn main() -> Result<(), tn_build::Error> {
    tn_build::Builder::new().grad(true).compile("../vgg16_fc2/vgg16_fc2.tn")?;
    tn_build::Builder::new().set("rank", 6).grad(true).compile("../tt_linear/tt_linear.tn")
}
